"""Writes the OpenAPI document that the application serves, or checks that the written one is current.

python -m scripts.export_openapi [--check]
"""

import json
import sys
from pathlib import Path

from app.core.settings import Settings
from app.main import create_app

DOCUMENT = Path(__file__).parents[1] / "openapi" / "openapi.json"


def render_document() -> str:
    """The document as it is committed."""
    app = create_app(Settings(public_url="https://refer.example.org"))
    return json.dumps(app.openapi(), indent=1, ensure_ascii=False) + "\n"


def main() -> None:
    """Writes, or with ``--check`` compares; exit code 1 where they differ."""
    current = render_document()
    if "--check" not in sys.argv[1:]:
        DOCUMENT.parent.mkdir(exist_ok=True)
        DOCUMENT.write_text(current, "utf-8")
    elif not DOCUMENT.exists() or DOCUMENT.read_text("utf-8") != current:
        sys.exit("openapi/openapi.json is not what the application serves: make openapi")


if __name__ == "__main__":
    main()
