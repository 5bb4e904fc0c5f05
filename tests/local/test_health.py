"""Probes in a whole mesh: who is not healthy is asked nothing, and comes back."""

from pathlib import Path

import pytest
from tests.local.mesh import WHOLE_MESH, Load, Mesh, until

pytestmark = [*WHOLE_MESH, pytest.mark.timeout(90)]

HTTP = "probe: {httpGet: {path: /health, port: 8000}, periodSeconds: 1, failureThreshold: 1}"
# As the program runs: in its directory, with its variables.
EXEC = (
    "probe: {exec: {command: [sh, -c, 'test -e rhumb.yaml && test ! -e sick-$NAME']}, "
    "periodSeconds: 1, failureThreshold: 2}"
)
ROUTES = """
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: edge}
spec:
  hosts: ["*"]
  gateways: [gw]
  http:
    - match: [{uri: {prefix: /only-v1}}]
      route: [{destination: {host: web, subset: v1}}]
    - match: [{uri: {prefix: /call/}}]
      route: [{destination: {host: client, port: {number: 8001}}}]
    - route: [{destination: {host: web}}]
"""
ENOUGH = 40
"""Requests: two instances with equal shares are both seen, but for one case in 2^39."""


class Probed(Mesh):
    """web has a probe, and all its versions are one set."""

    def __init__(self, probe: str) -> None:
        super().__init__()
        self.describe(lambda text: text.replace("  web:\n", f"  web:\n    {probe}\n"))
        (self.home / "mesh" / "routes.yaml").write_text(ROUTES)

    def sickness(self, name: str) -> Path:
        """Return the file that makes an instance sick while it is there."""
        return self.home / f"sick-{name}"

    def seen(self, path: str = "/") -> set[str]:
        """Return who answers when everybody may."""
        return {str(self.get(path)["name"]) for _ in range(ENOUGH)}

    def answers(self, path: str = "/") -> bool:
        """Tell whether there is anybody to send a request to."""
        try:
            return bool(self.get(path))
        except AssertionError as error:
            if "503" not in str(error):
                raise
            return False


@pytest.mark.parametrize("probe", [HTTP, EXEC], ids=["http", "exec"])
def test_the_sick_get_nothing_and_the_recovered_return(probe: str) -> None:
    with Probed(probe) as mesh:
        mesh.sickness("web-v2").touch()
        mesh.up()
        until(mesh.answers)
        assert mesh.seen() == {"web-v1"}, "web-v2 was never healthy"
        assert "web-v2.default gets no traffic: " in mesh.command("ps").stdout
        mesh.sickness("web-v2").unlink()
        until(lambda: mesh.seen() == {"web-v1", "web-v2"})
        with Load(mesh).running() as load:
            mesh.sickness("web-v1").touch()
            until(lambda: mesh.seen() == {"web-v2"})
            assert not mesh.answers("/only-v1"), "it is in no subset, either"
            began = len(load.names)
            load.more(ENOUGH)
            assert set(load.names[began + 1 :]) == {"web-v2"}
            assert mesh.seen("/call/web:8000/") == {"web-v2"}, "no sidecar sends there"
            mesh.sickness("web-v1").unlink()
            until(lambda: mesh.answers("/only-v1"))
            until(lambda: mesh.seen() == {"web-v1", "web-v2"})
            assert "gets no traffic" not in mesh.command("ps").stdout
        assert load.failures == []


def test_a_workload_is_asked_nothing_before_its_first_good_report() -> None:
    slow = HTTP.replace("periodSeconds: 1", "periodSeconds: 1, initialDelaySeconds: 9")
    with Probed(slow) as mesh:
        mesh.up()
        # Both listen by then; nothing has been said of either.
        asked = mesh.command("exec", "client", "--", "true")
        assert asked.returncode == 0
        assert not mesh.answers()
        until(mesh.answers)
        assert mesh.seen() == {"web-v1", "web-v2"}
