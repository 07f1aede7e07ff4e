"""Images in files: by class into arrays, and what a model file keeps of how it was done.

`load_folder` reads folders, by Pillow.
"""

from fastweights.images.loading import Images, load_folder

__all__ = ["Images", "load_folder"]
