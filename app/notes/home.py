"""How the one number of the first page is computed: the same as in the table of checkpoints."""

from app.notes.checkpoints import NOTES as MEASURES

NOTES = tuple(note for note in MEASURES if note.what == "exact gap")
