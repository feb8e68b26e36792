"""VAEs whose encoder and decoder are ONNX graphs: read (graph), run in a process of their own (runner, worker), and
as two of a VAE's parts (pair). This file stays empty of imports: the worker must not wait for torch."""
