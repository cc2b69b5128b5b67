"""What a sentence-transformers model does after the transformer: from token vectors to one.

modules.json                 the steps: Transformer, Pooling, Normalize
1_Pooling/config.json        which pooling
sentence_bert_config.json    the longest input
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from portside.errors import PortsideError
from portside.serving.model_file import read_json, read_object, read_optional

if TYPE_CHECKING:
    from pathlib import Path


class Pooling(StrEnum):
    """How the vectors of a text's tokens become one vector."""

    MEAN = "mean"
    CLS = "cls"
    """The first token's vector."""
    MAX = "max"
    """The largest value of each dimension."""
    NONE = "none"
    """They do not: a vector for each token."""


_POOLING_FOLDER: Final = "1_Pooling"

_POOLING_BY_KEY: Final = {
    "pooling_mode_mean_tokens": Pooling.MEAN,
    "pooling_mode_cls_token": Pooling.CLS,
    "pooling_mode_max_tokens": Pooling.MAX,
}
"""Each mode has had a key of its own, until `pooling_mode` came to name it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SentenceModel:
    """The steps after the transformer; as it stands, none."""

    pooling: Pooling = Pooling.NONE
    normalize: bool = False
    """Whether the vector is brought to length 1."""
    max_tokens: object = None
    """The longest input, as the file has it."""


def read_sentence_model(model_dir: Path) -> SentenceModel | None:
    """What comes after the transformer, by `modules.json`; None in any other checkpoint."""
    modules = _read_modules(model_dir)
    if "Pooling" not in modules:
        return None
    # Whatever changes the vectors and is not done here would make them wrong without a word.
    if unknown := modules.keys() - {"Transformer", "Pooling", "Normalize", "Dropout"}:
        names = ", ".join(f"`{name}`" for name in sorted(unknown))
        raise PortsideError(
            f"cannot serve `{model_dir}`: its `modules.json` names {names}, "
            "and what can follow the transformer is `Pooling` and `Normalize`",
            hint="add an `inference.py` with `load_model` and `predict`",
        )
    sentence_config = read_optional(model_dir / "sentence_bert_config.json")
    return SentenceModel(
        pooling=_pooling(model_dir / modules["Pooling"] / "config.json"),
        normalize="Normalize" in modules,
        max_tokens=sentence_config.get("max_seq_length"),
    )


def _read_modules(model_dir: Path) -> dict[str, str]:
    """The kind of each module, without its package, and the folder of its configuration."""
    path = model_dir / "modules.json"
    if not path.exists():
        has_pooling = (model_dir / _POOLING_FOLDER / "config.json").exists()
        return {"Pooling": _POOLING_FOLDER} if has_pooling else {}
    match read_json(path):
        case list(modules):
            return {
                str(module.get("type")).rpartition(".")[2]: str(module.get("path", ""))
                for module in modules
                if isinstance(module, dict)
            }
        case _:
            raise PortsideError(f"cannot read `{path}`: it is not a JSON list")


def _pooling(path: Path) -> Pooling:
    config = read_object(path)
    modes = {key for key, value in config.items() if key.startswith("pooling_mode_") and value}
    named = config.get("pooling_mode")
    match sorted(modes):
        case [key] if key in _POOLING_BY_KEY:
            return _POOLING_BY_KEY[key]
        case [] if named in (Pooling.MEAN, Pooling.CLS, Pooling.MAX):
            return Pooling(named)
        case keys:
            asked = ", ".join(f"`{key}`" for key in [*keys, named] if key) or "none"
            raise PortsideError(
                f"cannot serve `{path}`: it asks for the pooling {asked}, "
                "and what can be done is one of `mean`, `cls` and `max`",
                hint="add an `inference.py` with `load_model` and `predict`",
            )
