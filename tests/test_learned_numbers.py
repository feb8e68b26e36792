"""The MAE paper's numbers: clusters, probes and densities against hand-made examples and explicit loops."""

import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from models import FixedEncoder, LinearDecoder, collapsed, perturbed
from torch import Tensor
from torch.distributions import Normal, kl_divergence

import vaecore
from vaecore import checkpoints, learned
from vaecore.__main__ import main
from vaecore.evaluation import encode
from vaecore.learned import accuracies
from vaecore.priors import StandardNormal

# Two clusters on a line, around 0 and 10. In the left one most members are 1, and the closest to its centre is a 2.
LINE = np.array([[-2.0], [-1.0], [0.1], [1.4], [1.5], [9.0], [10.0], [11.0]], np.float32)
LABELS = np.array([1, 1, 2, 1, 2, 3, 3, 0])


def blobs(count: int = 300, classes: int = 3, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Codes in as many far apart heaps as there are classes."""
    random = np.random.default_rng(seed)
    labels = random.integers(classes, size=count)
    centres = 5 * np.eye(classes, 4)
    return (centres[labels] + 0.3 * random.standard_normal((count, 4))).astype(np.float32), labels


def images(count: int = 20) -> Tensor:
    return torch.rand(count, 1, 8, 8).round()


@pytest.fixture
def digits(tmp_path: Path) -> Path:
    vae = perturbed("vae", "small", "bernoulli")
    return vaecore.save(vae, tmp_path / "digits", dataset="dynamic_digits")


QUICK = "--images 64 --nll-images 8 --samples 16 --train-images 300 --labels 40 --clusters 5 --runs 2".split()


def run(capsys: pytest.CaptureFixture, *words: object) -> dict:
    assert main([*map(str, words)]) == 0
    return json.loads(capsys.readouterr().out)


def test_the_two_rules_of_labelling_differ_where_they_should() -> None:
    fit = learned.kmeans(LINE, 2)
    left, right = fit.predict(np.array([[0.0], [10.0]]))
    assert {int(left), int(right)} == {0, 1}
    assert sorted(fit.centres[:, 0].tolist()) == pytest.approx([0.0, 10.0], abs=1e-6)
    majority, closest = (learned.label_clusters(fit, LINE, LABELS, rule) for rule in ("majority", "closest"))
    assert (majority[left], majority[right]) == (1, 3)
    assert (closest[left], closest[right]) == (2, 3)
    assigned = fit.predict(LINE)
    assert (assigned == fit.members).all()
    assert learned.cluster_accuracy(assigned, majority, LABELS) == 5 / 8
    assert learned.cluster_accuracy(assigned, closest, LABELS) == 4 / 8
    table = learned.confusion(assigned, LABELS, 2, 4)
    assert table[left].tolist() == [0, 3, 2, 0]
    assert table[right].tolist() == [1, 0, 0, 2]
    for rule, accuracy in (("majority", 5 / 8), ("closest", 4 / 8)):
        assert vaecore.evaluation.kmeans_accuracy(LINE, LABELS, LINE, LABELS, 2, labels=rule) == accuracy


@pytest.mark.parametrize("unit", [1e-30, 1e30])
def test_clusters_do_not_depend_on_the_unit_of_the_codes(unit: float) -> None:
    z, _ = blobs(60)
    fit, own = learned.kmeans(z, 3), learned.kmeans(z * np.float32(unit), 3)  # whose squares float32 does not have
    assert (fit.members == own.members).all()
    assert (own.predict(z * np.float32(unit)) == fit.predict(z)).all()


def test_of_equally_frequent_labels_the_smaller_counts_and_the_closest_need_be_no_member() -> None:
    fit = learned.KMeansFit(np.array([[0.0]]), np.zeros(4, int))
    codes = np.array([[-2.0], [-1.0], [1.5], [2.0]])
    assert learned.label_clusters(fit, codes, [7, 4, 7, 4]).tolist() == [4]
    assert learned.label_clusters(fit, codes, [7, 4, 7, 4], "closest").tolist() == [4]
    assert learned.label_clusters(fit, codes, [7, 4, 7, 7]).tolist() == [7]
    # A point between unequal clusters: the closest code to the first centre belongs to the second.
    fit = learned.KMeansFit(np.array([[0.0], [1.0]]), np.array([0, 0, 1]))
    assert learned.label_clusters(fit, [[-2.0], [2.0], [0.6]], [0, 0, 5], "closest").tolist() == [5, 5]


def test_kmeans_finds_heaps_and_its_seed_reproduces() -> None:
    codes, labels = blobs()
    fit, again = learned.kmeans(codes, 3, seed=4), learned.kmeans(codes, 3, seed=4)
    assert (fit.centres == again.centres).all()
    assert (fit.members == again.members).all()
    assert (fit.predict(codes) == fit.members).all()
    for rule in learned.RULES:
        named = learned.label_clusters(fit, codes, labels, rule)
        assert learned.cluster_accuracy(fit.members, named, labels) == 1
    assert learned.kmeans(torch.from_numpy(codes), 3, seed=4).centres == pytest.approx(fit.centres)


@pytest.mark.parametrize("kind", learned.PROBES)
def test_probes_find_labels_where_they_lie_apart_and_none_where_they_are_noise(kind: str) -> None:
    (codes, labels), (others, truth) = blobs(), blobs(200, seed=1)
    assert learned.probe(kind, codes, labels, others, truth) == 1
    assert learned.probe(kind, torch.from_numpy(codes), torch.from_numpy(labels), others, truth, 3) == 1
    shuffled = np.random.default_rng(2).permutation(labels)
    assert learned.probe(kind, codes, shuffled, others, truth) < 0.6


def test_only_a_bent_border_needs_more_than_a_line() -> None:
    codes = np.random.default_rng(0).standard_normal((600, 2)).astype(np.float32)
    inside = (np.square(codes).sum(1) < 1.4).astype(int)
    scores = {
        kind: learned.probe(kind, codes[:400], inside[:400], codes[400:], inside[400:]) for kind in learned.PROBES
    }
    assert min(scores["knn"], scores["svm-rbf"]) > 0.9
    assert max(scores["linear"], scores["svm-linear"]) < 0.75


def test_knn_weights_its_ten_neighbours_by_distance() -> None:
    codes = np.array([[0.0], [0.1], *[[1.0 + k / 100] for k in range(8)], *[[50.0]] * 20])
    labels = np.array([1, 1, *[0] * 8, *[2] * 20])
    # At 0.05 two neighbours weigh 20 each, eight about 1: by number, not by weight, class 0 would win.
    assert learned.probe("knn", codes, labels, [[0.05]], [1]) == 1


def test_the_linear_probe_is_near_the_best_that_a_line_can_do() -> None:
    from sklearn.linear_model import LogisticRegression

    random = np.random.default_rng(0)
    labels = random.integers(4, size=3000)
    codes = (np.eye(4, 6)[labels] * 2 + random.standard_normal((3000, 6))).astype(np.float32)
    train, test = (codes[:2000], labels[:2000]), (codes[2000:], labels[2000:])
    best = LogisticRegression().fit(*train).score(*test)
    found = learned.probe("linear", *train, *test, valid=test)
    assert best - 0.03 < found < best + 0.03
    assert found == learned.probe("linear", *train, *test, valid=test)
    assert found != learned.probe("linear", *train, *test, seed=1, valid=test)


def test_a_subset_is_drawn_at_random_by_its_seed() -> None:
    labels = np.repeat([0, 1], [900, 100])
    rows = learned.labelled_subset(labels, 200, 3)
    assert len(set(rows.tolist())) == 200
    assert (rows == learned.labelled_subset(labels, 200, 3)).all()
    assert (rows != learned.labelled_subset(labels, 200, 4)).any()
    drawn = np.mean([labels[learned.labelled_subset(labels, 200, seed)].sum() for seed in range(40)])
    assert 17 < drawn < 23  # a balanced draw would take 100 of the rare label


def test_codes_are_means_or_averages_of_seeded_draws() -> None:
    vae, x = perturbed("vae", "small", "bernoulli"), images()
    loc, scale = encode(vae, x)
    assert torch.equal(learned.codes(vae, x), loc)
    found = learned.codes(vae, x, draws=50, seed=1)
    assert found.shape == (20, 2)
    assert found.dtype == torch.float32
    assert torch.equal(found, learned.codes(vae, x, draws=50, seed=1))
    assert not torch.equal(found, learned.codes(vae, x, draws=50, seed=2))
    unit = (learned.codes(vae, x, draws=400, seed=1) - loc) / scale * 20
    assert 0.6 < unit.std() < 1.5
    assert unit.mean().abs() < 0.6
    state = torch.get_rng_state()
    learned.codes(vae, x, draws=2)
    assert torch.equal(state, torch.get_rng_state())
    assert learned.thresholded(torch.tensor([0.0, 0.49, 0.5, 1.0])).tolist() == [0, 0, 1, 1]


@pytest.mark.parametrize("batch", [7, 20])
def test_mpd_and_std_are_those_of_loops_over_pairs(batch: int) -> None:
    vae, x = perturbed("vae", "small", "bernoulli", 3).double(), images().double()
    found = learned.density(vae, x, batch=batch)
    mpd = std = 0.0
    with torch.no_grad():
        for part in x.split(batch):
            q = vae.posterior(part).base_dist
            one = [Normal(q.loc[i], q.scale[i]) for i in range(len(part))]
            pairs = [float(kl_divergence(p, r).sum()) for p in one for r in one if p is not r]
            mean = sum(pairs) / len(pairs)
            mpd += len(part) / 20 * mean
            std += len(part) / 20 * math.sqrt(sum((value - mean) ** 2 for value in pairs) / (len(pairs) - 1))
    assert found.mpd == pytest.approx(mpd, rel=1e-9)
    assert found.std == pytest.approx(std, rel=1e-9)


def test_re_kl_and_nll_are_those_on_paper_for_a_linear_gaussian() -> None:
    loc, scale = [0.5, -1.0], [0.4, 0.7]
    vae = vaecore.VAE(StandardNormal(2), FixedEncoder(loc, scale), LinearDecoder(0.5)).double()
    x = vae.likelihood(torch.randn(40, 2).double()).sample()
    found = learned.density(vae, x, samples=500)
    weight, bias = vae.decoder.weight.detach(), vae.decoder.bias.detach()
    mean, var = torch.tensor(loc).double(), torch.tensor(scale).double().square()
    square = (x.flatten(1) - weight @ mean - bias).square().sum(1) + (weight.square() @ var).sum()
    re = float((square / (2 * 0.25)).mean()) + 16 * math.log(0.5 * math.sqrt(2 * math.pi))
    kl = float(0.5 * (mean.square() + var - 1 - var.log()).sum())
    assert found.re == pytest.approx(re, abs=4)
    assert found.kl == pytest.approx(kl, rel=1e-6)
    assert found.elbo == pytest.approx(-re - kl, abs=4)
    assert found.mpd == found.std == 0
    covariance = weight @ weight.T + 0.25 * torch.eye(16)
    truth = torch.distributions.MultivariateNormal(bias, covariance).log_prob(x.flatten(1))
    wide = vaecore.VAE(StandardNormal(2), FixedEncoder([0.0, 0.0], [1.0, 1.0]), vae.decoder).double()
    nll = learned.evidence(wide, x, samples=500)
    assert nll.nll == pytest.approx(-float(truth.mean()), abs=0.3)
    assert nll.elbo < -nll.nll
    assert nll.nll_error == pytest.approx(float(truth.std()) / math.sqrt(40), rel=0.1)


def test_what_is_no_diagonal_gaussian_has_no_mpd() -> None:
    found = learned.density(perturbed("rnvp-q", "small", "bernoulli"), images())
    assert found.mpd is None
    assert found.std is None
    assert found.elbo == -(found.re + found.kl)
    assert learned.density(perturbed("vae", "small", "bernoulli"), images(13), batch=12).mpd > 0


def test_the_command_measures_keeps_and_sets_beside_the_paper(digits: Path, capsys: pytest.CaptureFixture) -> None:
    found = run(capsys, "learned", digits, *QUICK, "--keep")
    density = found["density"]
    assert density["RE"] + density["KL"] == pytest.approx(-density["ELBO"], rel=1e-12)
    assert density["NLL"] < -density["ELBO of the NLL's images"]
    assert "64 images, batches of 512, 5 draws" in density["protocol"]
    assert "NLL on 8 of them, 16 importance samples each" in density["protocol"]
    rows = found["clustering"]["rows"]
    assert [(row["clusters"], row["rule"]) for row in rows] == [(5, "majority"), (5, "closest")]
    assert all(len(row["runs"]) == 2 and row["mean"] == pytest.approx(np.mean(row["runs"])) for row in rows)
    asked = [(row["probe"], row["asked"], row["labels"]) for row in found["probes"]["rows"]]
    assert asked == [(kind, *count) for kind in learned.PROBES for count in ((40, 40), ("all", 300))]
    assert "300 training and 355 test images thresholded at 0.5, each the mean" in found["probes"]["protocol"]
    again = run(capsys, "learned", digits, *QUICK)
    assert again == found
    assert checkpoints.read_metrics(digits)["learned"] == {key: found[key] for key in found if key != "folder"}
    card = (digits / "README.md").read_text()
    assert f"| MPD | {density['MPD']:,.3f} |" in card
    assert "| knn, 300 labels |" in card
    assert found["clustering"]["protocol"] in card
    tables = run(capsys, "bench", "learned", digits)
    ours = [row for row in tables["probes"]["rows"] if row["source"] == "here"]
    assert [row["labels in all"] for row in ours] == [300]
    paper = {row["system"]: row for row in tables["clustering"]["rows"] if row["source"] == "paper"}
    assert paper["MAE(1, 0.5)"]["K = 10"] == 91.2
    assert main(["bench", "learned", str(digits), "--markdown"]) == 0
    assert "| ResNet VAE w. AF | paper | 56.04 | 25.38 | 1,193.18 | 630.90 | 81.42 | 79.28 |" in capsys.readouterr().out


def test_a_collapsed_encoder_keeps_its_other_numbers(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    dead = collapsed(tmp_path / "dead", "dynamic_digits")
    found = run(capsys, "learned", dead, *QUICK, "--keep")
    assert found["density"]["KL"] == pytest.approx(0.0, abs=1e-6)
    assert found["density"]["NLL"] > 0
    rows = found["clustering"]["rows"] + found["probes"]["rows"]
    assert len(rows) == 2 + 2 * len(learned.PROBES)
    assert all(row["mean"] is None and row["runs"] == [] for row in rows)
    assert all(row["reason"].startswith("The codes are all the same") for row in rows)
    card = (dead / "README.md").read_text()
    assert "| knn, 40 labels | – |" in card
    assert card.count("–: The codes are all the same") == 2
    assert 'name: "NLL"' in card
    assert "K-means accuracy" not in card
    tables = run(capsys, "bench", "learned", dead)
    for part in ("clustering", "probes"):
        ours = [row for row in tables[part]["rows"] if row["source"] == "here"]
        assert all(row["reason"].startswith("The codes are all the same") for row in ours)
    assert main(["bench", "learned", str(dead), "--markdown"]) == 0
    assert "| – | – | – | majority | – | The codes are all the same" in capsys.readouterr().out


def test_a_draw_of_labels_that_are_one_class_costs_its_row_alone() -> None:
    z, y = blobs(60)
    some = (z[:50], np.where(np.arange(50) < 49, 1, y[:50] % 2 * 2))
    protocol = learned.Protocol(runs=2, labels=(12,))
    rows = [accuracies.probed("knn", count, (some, (z, y), (z, y)), 50, protocol, lambda: None) for count in (12, None)]
    assert rows[0]["mean"] is None
    assert "training labels are 1" in rows[0]["reason"]
    assert rows[1]["mean"] > 0


def test_codes_of_draws_and_capped_svms_say_so(digits: Path, capsys: pytest.CaptureFixture) -> None:
    more = ["--draws", "50", "--svm-labels", "50", "--binarisations", "2", "--train-images", "all"]
    found = run(capsys, "learned", digits, *QUICK, *more)
    assert "the average of 50 samples of q(z|x)" in found["clustering"]["protocol"]
    assert "binarised 2 times: RE, KL, MPD and STD on 128 images" in found["density"]["protocol"]
    labels = {(row["probe"], row["asked"]): row for row in found["probes"]["rows"]}
    assert labels["svm-rbf", "all"]["labels"] == 50
    assert "an SVM was given at most 50 labels" in found["probes"]["protocol"]
    assert labels["knn", "all"]["labels"] == 1442
    assert labels["linear", "all"]["labels"] == 1298
    assert labels["svm-rbf", 40]["labels"] == 40


@pytest.mark.parametrize("row", learned.TABLES["density"].items(), ids=str)
def test_the_papers_rows_add_up_but_for_the_one_that_the_note_names(row: tuple[str, tuple[float, ...]]) -> None:
    name, (re, kl, _, _, elbo, nll) = row
    assert (abs(re + kl - elbo) < 0.015) == (name != "MAE(2, 0.5)")
    assert nll < elbo


BAD = {
    "2,000 labels are asked": ["--labels", "2000"],
    "500 labels are asked, and there are 300": ["--labels", "500"],
    "400 clusters are asked": ["--clusters", "400"],
    "5 labels are too few": ["--labels", "5"],
    "draws is -1": ["--draws", "-1"],
}


@pytest.mark.parametrize("words", BAD)
def test_what_cannot_be_measured_is_one_sentence(words: str, digits: Path, capsys: pytest.CaptureFixture) -> None:
    size = [] if "2,000" in words else ["--train-images", "300"]
    assert main(["learned", str(digits), *QUICK, *size, *BAD[words]]) == 1
    assert words in capsys.readouterr().err


def test_bench_wants_measured_folders(digits: Path, capsys: pytest.CaptureFixture) -> None:
    for words, sentence in (
        (["learned"], "needs the FOLDERs"),
        (["learned", str(digits)], "keeps no such numbers"),
        (["depth", str(digits)], "belong to learned"),
    ):
        assert main(["bench", *words]) == 1
        assert sentence in capsys.readouterr().err
    for kept in ({"density": 1}, {"density": {}, "clustering": {}, "probes": {"rows": 3}}):
        file = digits / "metrics.json"
        file.write_text(json.dumps({"learned": kept}))
        assert main(["bench", "learned", str(digits)]) == 1
        assert "metrics.json: learned.density: " in capsys.readouterr().err


WRONG = {
    "it must be one of majority, closest": lambda z, y: learned.label_clusters(learned.kmeans(z, 3), z, y, "nearest"),
    "from 1 to the number of codes": lambda z, y: learned.kmeans(z, 301),
    "Only 3 of the 15 codes are different, and K-means with K = 4": lambda z, y: learned.kmeans(
        np.repeat(z[:3], 5, 0), 4
    ),
    "codes reach 1e\\+25, where no probe learns": lambda z, y: learned.probe(
        "linear", np.repeat(np.float32([1e25, 2]), [3, 297])[:, None], y, z[:, :1], y
    ),
    "all the same: .* so that K-means": lambda z, y: learned.kmeans(np.full((20, 3), 0.1, np.float32), 2),
    "all the same: .* so that a probe": lambda z, y: learned.probe("knn", 0 * z, y, z, y),
    "not finite": lambda z, y: learned.kmeans(z * np.nan, 3),
    r"it must be \[N, D\]": lambda z, y: learned.kmeans(z[0], 3),
    "there are 300 codes": lambda z, y: learned.label_clusters(learned.kmeans(z, 3), z, y[:4]),
    "There are no labels": lambda z, y: learned.probe("knn", z, None, z, y),
    "must be one of knn, linear": lambda z, y: learned.probe("svm", z, y, z, y),
    "two classes": lambda z, y: learned.probe("svm-rbf", z, 0 * y, z, y),
    "asks 10 neighbours": lambda z, y: learned.probe("knn", z[:9], y[:9], z, y),
    "4 dimensions and the test codes 2": lambda z, y: learned.probe("linear", z, y, z[:, :2], y),
    "none is negative": lambda z, y: learned.probe("linear", z, y - 1, z, y),
    "labels have shape": lambda z, y: learned.probe("linear", z, y, z, y, valid=(z, y[:3])),
    "301 labels cannot be drawn": lambda z, y: learned.labelled_subset(y, 301),
    "labels under 2": lambda z, y: learned.confusion(y, y, 3, 2),
    "at least 2 images": lambda z, y: learned.density(perturbed("vae", "small", "bernoulli"), images(1)),
    "N at least 1": lambda z, y: learned.codes(perturbed("vae", "small", "bernoulli"), images(0)),
}


@pytest.mark.parametrize("sentence", WRONG)
def test_bad_input_gets_a_sentence(sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        WRONG[sentence](*blobs())


def test_data_without_labels_keep_their_densities() -> None:
    splits = {name: vaecore.load_dataset("digits", name).first(60) for name in ("train", "valid", "test")}
    splits = {name: vaecore.Dataset("nameless", name, data.images, None) for name, data in splits.items()}
    steps: list[dict] = []
    protocol = learned.Protocol(nll_images=4, samples=4)
    found = learned.measure(perturbed("vae", "small", "gaussian"), splits, protocol, steps.append)
    assert found["density"]["MPD"] > 0
    assert found["probes"] == {"protocol": "nameless has no labels to score clusters or probes by", "rows": []}
    assert found["density"]["likelihood"] == "densities"
    kept = learned.beside({"grey": found})
    assert {"RE (densities)", "NLL (densities)", "KL", "MPD"} <= kept["density"]["rows"][-1].keys()
    assert "NLL" not in kept["density"]["rows"][-1]
    assert steps[-1]["step"] == steps[-1]["steps"] == 2
