"""The playground in a browser: a server on loopback, and one playground for each window."""

from importlib.util import find_spec

from core.errors import UserError

PACKAGES = ("aiohttp", "textual_serve")


def require_packages() -> None:
    """Raise UserError where what the server is built on is not installed."""
    if not all(map(find_spec, PACKAGES)):
        raise UserError("--serve needs packages that are not installed: run pip install -e '.[serve]' in the project")
