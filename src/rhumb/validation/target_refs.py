"""Rules for `targetRefs`, which several kinds of policies have."""

from collections.abc import Sequence

from rhumb.model.kinds.selector import TargetReference
from rhumb.validation.rules import Report

_MOST = 16
_LENGTHS = {"group": 253, "kind": 63, "name": 253}


def check_target_refs(report: Report, refs: Sequence[TargetReference], *, selector: str) -> None:
    """Check `spec.targetRefs`; `selector` names the selector that is set too, empty: none is."""
    if refs and selector:
        report.error("spec", f"only one of targetRefs or {selector} can be set")
    if len(refs) > _MOST:
        report.error("spec.targetRefs", f"Too many: {len(refs)}: must have at most {_MOST} items")
    for index, ref in enumerate(refs):
        at = f"spec.targetRefs[{index}]"
        for field, longest in _LENGTHS.items():
            value = getattr(ref, field)
            if len(value) > longest:
                report.error(f"{at}.{field}", f"may not be more than {longest} characters long")
            if not value and field != "group":
                report.error(f"{at}.{field}", "Required value")
        if ref.namespace:
            report.error(
                f"{at}.namespace", "cross namespace referencing is not currently supported"
            )
