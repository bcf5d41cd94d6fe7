"""Registers the demonstration's systems, each with a private key in the data directory."""

import json
from pathlib import Path

from joserfc.jwk import ECKey

from app.access.clients import generate_key, load_client
from app.access.demonstration import SYSTEMS
from app.core.data_dir import write_private
from app.interactions import clients
from app.interactions.hub import Hub
from app.interactions.operate import OPERATOR


async def ensure_demo_clients(hub: Hub, folder: Path) -> list[tuple[str, str, Path]]:
    """(client, organisation, its key's file) of each; what is there already stays."""
    found = []
    for name, acting in SYSTEMS.items():
        path = folder / f"{name}.json"
        if not path.exists():
            write_private(path, generate_key()[0] + "\n")
        key = ECKey.import_key(json.loads(path.read_text()))
        public = key.as_dict(private=False)
        client = await load_client(hub.pool, name)
        if client is None:
            organization = f"Organization/{acting.organization}"
            await clients.register(
                hub, OPERATOR, clients.NewClient(name, organization, acting.role, acting.scopes, public_jwk=public)
            )
        elif key.kid not in [each["kid"] for each in client.keys]:
            await clients.add_key(hub, OPERATOR, name, public)
        found.append((name, acting.organization, path))
    return found
