"""Names are written and read by one grammar."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rhumb.translate import names

ports = st.integers(min_value=0, max_value=65535)
labels = st.from_regex(r"[a-z]([-a-z0-9]{0,8}[a-z0-9])?", fullmatch=True)
hosts = st.lists(labels, min_size=1, max_size=5).map(".".join)
wild_hosts = st.one_of(hosts, hosts.map("*.{}".format), st.just("*"))
paths = st.from_regex(r"/[a-z0-9./-]{1,20}", fullmatch=True)

clusters = st.one_of(
    st.builds(names.OutboundCluster, ports, wild_hosts, st.one_of(st.just(""), labels)),
    st.builds(names.SniCluster, ports, wild_hosts, st.one_of(st.just(""), labels)),
    st.builds(names.InboundCluster, ports),
)
routes = st.one_of(
    st.builds(names.PortRoute, ports),
    st.builds(names.HostRoute, wild_hosts, ports),
    st.builds(names.GatewayRoute, ports),
    st.builds(names.GatewayTlsRoute, ports, labels, hosts, labels),
    st.builds(names.InboundCluster, ports),
)
secrets = st.one_of(
    st.builds(names.KubernetesSecret, hosts, st.one_of(st.just(""), labels)),
    st.builds(names.ConfigMapRoot, labels, hosts),
    st.builds(names.FileCertificate, paths, paths),
    st.builds(
        names.FileRoot,
        st.one_of(paths, st.just(names.SYSTEM_ROOTS)),
        st.one_of(paths, st.just("")),
    ),
)


@given(clusters)
def test_a_cluster_name_is_read_as_it_was_written(name: names.ClusterName) -> None:
    assert names.parse_cluster(str(name)) == name


@given(routes)
def test_a_route_name_is_read_as_it_was_written(name: names.RouteName) -> None:
    assert names.parse_route(str(name)) == name


@given(secrets)
def test_a_secret_name_is_read_as_it_was_written(name: names.SecretName) -> None:
    assert names.parse_secret(str(name)) == name


@given(clusters, clusters)
def test_two_clusters_never_share_a_name(one: names.ClusterName, other: names.ClusterName) -> None:
    assert (str(one) == str(other)) == (one == other)


@given(st.text(max_size=40))
def test_any_text_is_read_or_refused_without_failing(text: str) -> None:
    for parse in (names.parse_cluster, names.parse_route, names.parse_secret):
        value = parse(text)
        assert value is None or str(value) == text


@pytest.mark.parametrize(
    ("name", "text"),
    [
        (names.OutboundCluster(9080, "reviews.default.svc.cluster.local", "v1"),
         "outbound|9080|v1|reviews.default.svc.cluster.local"),
        (names.OutboundCluster(80, "a.b.c"), "outbound|80||a.b.c"),
        (names.SniCluster(80, "a.b.c"), "outbound_.80_._.a.b.c"),
        (names.InboundCluster(8080), "inbound|8080||"),
        (names.GatewayTlsRoute(443, "https", "gw", "prod"), "https.443.https.gw.prod"),
        (names.KubernetesSecret("cert").ca, "kubernetes://cert-cacert"),
        (names.FileCertificate("/c.pem", "/k.pem"), "file-cert:/c.pem~/k.pem"),
        (names.FileRoot(names.SYSTEM_ROOTS), "file-root:system"),
    ],
)  # fmt: skip
def test_names_are_istios(name: object, text: str) -> None:
    assert str(name) == text


@pytest.mark.parametrize(
    "text",
    [
        names.BLACK_HOLE, names.PASSTHROUGH, names.INBOUND_PASSTHROUGH, "xds-grpc", "outbound|x||a",
        "outbound|80||", "outbound|80|v1", "inbound|80|v1|", "outbound_.80_._.", "outbound|080||a",
    ],
)  # fmt: skip
def test_other_cluster_names_are_not_ours(text: str) -> None:
    assert names.parse_cluster(text) is None


def test_the_two_forms_of_a_service_port_convert() -> None:
    cluster = names.OutboundCluster(80, "a.b", "v1")
    assert cluster.sni.outbound == cluster


def test_listeners_are_named_by_address_and_port() -> None:
    assert names.listener("0.0.0.0", 80) == "0.0.0.0_80"
    assert names.listener("::", 80) == "[::]_80"
    assert names.listener("/run/app.sock", 0) == "/run/app.sock"
