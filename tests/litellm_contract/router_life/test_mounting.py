"""Our endpoints on an application with others': none waits for the other's paths being put together."""

from types import SimpleNamespace

import pytest
from fastapi import APIRouter, FastAPI
from fastapi.testclient import TestClient

from rb_litellm.litellm_adapter.proxy.endpoints import routes
from rb_litellm.litellm_adapter.worker import worker

pytest.importorskip("litellm.proxy.proxy_server")


class Theirs(APIRouter):
    """Counts how often a path is looked up in it."""

    looked = 0

    def matches(self, scope):
        self.looked += 1
        return super().matches(scope)


@pytest.fixture
def theirs():
    router = Theirs()
    router.add_api_route("/v1/models", lambda: {"data": []})
    return router


@pytest.fixture
def app(theirs, monkeypatch):
    app = FastAPI()
    app.include_router(theirs)
    if len(app.router.routes) != len(FastAPI().router.routes) + 1:
        pytest.skip("this FastAPI puts all together at once")
    monkeypatch.setattr(routes, "proxy_server", lambda: SimpleNamespace(app=app))
    mounted = routes.Routes(worker())
    mounted.ensure_started()
    mounted.ensure_started()
    return app


def test_a_path_of_ours_passes_none_of_theirs(app, theirs):
    client = TestClient(app, raise_server_exceptions=False)
    assert client.get("/routebalance/status").status_code != 404
    assert theirs.looked == 0


def test_a_path_of_theirs_is_served_as_before(app, theirs):
    client = TestClient(app)
    assert client.get("/v1/models").json() == {"data": []}
    assert theirs.looked
    assert client.get("/routebalance/nothing").status_code == 404
