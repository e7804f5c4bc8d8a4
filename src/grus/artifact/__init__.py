"""The model folder: written atomically, read as hostile input."""

from grus.artifact.atomic import new_file, new_folder, refuse_existing, write_file
from grus.artifact.folder import CONFIG, WEIGHTS, Tensors, load_model, save_model

__all__ = [
    "CONFIG",
    "WEIGHTS",
    "Tensors",
    "load_model",
    "new_file",
    "new_folder",
    "refuse_existing",
    "save_model",
    "write_file",
]
