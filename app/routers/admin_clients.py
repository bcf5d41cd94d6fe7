"""Operators' REST: the register of clients, for role admin alone."""

from fastapi import APIRouter, Request, Response

from app.access.clients import RegisteredClient
from app.core.errors import Invalid
from app.interactions import clients
from app.routers.admin import NOT_KEPT, answer, find_root, read_json, read_parameters
from app.routers.admin_client_bodies import ChangedClient, Client, Clients, KeysAt, NewClient, NewKey
from app.routers.requests import find_caller, find_hub

router = APIRouter(prefix="/admin", tags=["Registry"])


@router.get("/clients")
async def list_clients(request: Request) -> Response:
    """Every client, disabled ones too, by name."""
    read_parameters(request)
    found = await clients.list_clients(find_hub(request), await find_caller(request))
    return answer(Clients(clients=[Client.show(each) for each in found]))


@router.post("/clients")
async def add_client(request: Request) -> Response:
    """Registers a client; its Organization is made if it is missing."""
    read_parameters(request)
    hub, caller = find_hub(request), await find_caller(request)
    body = await read_json(request, NewClient)
    await clients.register(hub, caller, body.read())
    location = {"Location": f"{find_root(request)}/clients/{body.id}"}
    return answer(Client.show(await clients.read_client(hub, caller, body.id)), 201, location)


@router.get("/clients/{client_id}")
async def read_client(request: Request, client_id: str) -> Response:
    """One client."""
    read_parameters(request)
    return show(await clients.read_client(find_hub(request), await find_caller(request), client_id))


@router.put("/clients/{client_id}")
async def change_client(request: Request, client_id: str) -> Response:
    """Changes role, scopes, rate or who makes Tasks; what is left out stays."""
    read_parameters(request)
    hub, caller = find_hub(request), await find_caller(request)
    body = await read_json(request, ChangedClient)
    return show(await clients.update(hub, caller, client_id, body.read()))


@router.delete("/clients/{client_id}")
async def remove_client(request: Request, client_id: str) -> Response:
    """Forgets a client that is disabled."""
    read_parameters(request)
    await clients.remove(find_hub(request), await find_caller(request), client_id)
    return Response(None, 204, NOT_KEPT)


@router.post("/clients/{client_id}/keys")
async def add_key(request: Request, client_id: str) -> Response:
    """Adds a public key beside the others, or in place of a JWKS URL."""
    read_parameters(request)
    hub, caller = find_hub(request), await find_caller(request)
    body = await read_json(request, NewKey)
    return show(await clients.add_key(hub, caller, client_id, body.key))


@router.delete("/clients/{client_id}/keys")
async def remove_key(request: Request, client_id: str) -> Response:
    """Takes the key with this kid away."""
    kid = read_parameters(request, "kid").get("kid")
    if not kid:
        raise Invalid("kid says which key", ("kid",))
    return show(await clients.remove_key(find_hub(request), await find_caller(request), client_id, kid))


@router.put("/clients/{client_id}/jwks-url")
async def use_jwks_url(request: Request, client_id: str) -> Response:
    """From now on the client's keys are those at this URL."""
    read_parameters(request)
    hub, caller = find_hub(request), await find_caller(request)
    body = await read_json(request, KeysAt)
    return show(await clients.use_jwks_url(hub, caller, client_id, body.jwks_url))


@router.post("/clients/{client_id}/disable")
async def disable(request: Request, client_id: str) -> Response:
    """Takes a client's access away, within 5 s."""
    read_parameters(request)
    return show(await clients.disable(find_hub(request), await find_caller(request), client_id))


@router.post("/clients/{client_id}/enable")
async def enable(request: Request, client_id: str) -> Response:
    """Gives a client its access back."""
    read_parameters(request)
    return show(await clients.enable(find_hub(request), await find_caller(request), client_id))


def show(client: RegisteredClient) -> Response:
    """The client as JSON."""
    return answer(Client.show(client))
