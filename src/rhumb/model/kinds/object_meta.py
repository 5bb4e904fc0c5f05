"""Kubernetes ObjectMeta: what is used, and what an exported object may carry besides."""

from collections.abc import Mapping

from rhumb.model.kinds.wire import NONE, Kind


class ObjectMeta(Kind, frozen=True, kw_only=True):
    """The `metadata` of every object; fields of type `object` are accepted and not used."""

    name: str = ""
    namespace: str = ""
    labels: Mapping[str, str] = NONE
    annotations: Mapping[str, str] = NONE
    creation_timestamp: str = ""
    generate_name: object = None
    uid: object = None
    resource_version: object = None
    generation: object = None
    self_link: object = None
    managed_fields: object = None
    owner_references: object = None
    finalizers: object = None
    deletion_timestamp: object = None
    deletion_grace_period_seconds: object = None
    cluster_name: object = None
