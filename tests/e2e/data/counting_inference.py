"""A handler that needs no model: it counts words, and says in the log what it was asked."""


def load_model(model_dir: str) -> None:
    """Nothing to load."""


def predict(data: dict[str, list[str]], model: None) -> list[int]:
    """The number of words of each text."""
    print(f"counting {len(data['strings'])} texts", flush=True)  # noqa: T201  into the log
    return [len(text.split()) for text in data["strings"]]
