"""Where everything lies in an image: a virtual environment, and beside it code and model.

/opt/portside/pyvenv.cfg                    Python takes the folder for an environment …
/opt/portside/bin/python ─▶ the base's      … whose `.pth` files and scripts work as usual
/opt/portside/lib/python3.N/site-packages   dependencies, and Portside's serving runtime
/opt/portside/code                          the user's code
/opt/portside/model                         the model, where it is in the image: SageMaker
                                            mounts over `/opt/ml/model`
"""

from __future__ import annotations

from typing import Final

ROOT: Final = "opt/portside"
"""As names in a layer are written, without the slash in front."""

BIN: Final = f"{ROOT}/bin"
CODE: Final = f"{ROOT}/code"
MODEL: Final = f"{ROOT}/model"
PYTHON: Final = f"/{BIN}/python"


def site_packages(version: str) -> str:
    """Where packages lie for Python `version`, such as `3.11`."""
    return f"{ROOT}/lib/python{version}/site-packages"
