"""The ratings service: how many stars each reviewer gave. GET /ratings/ID, POST to replace them."""

import json

from common import NOT_FOUND, Request, Response, arguments, as_json, serve

RATINGS = {"Reviewer1": 5, "Reviewer2": 4}


class Ratings:
    """Ratings by product, in memory."""

    def __init__(self) -> None:
        self._by_product: dict[int, dict[str, int]] = {}

    def answer(self, request: Request) -> Response:
        """Answer one request."""
        parts = request.path.strip("/").split("/")
        if len(parts) != 2 or parts[0] != "ratings":
            return NOT_FOUND
        if not parts[1].isdigit():
            return as_json({"error": "please provide numeric product ID"}, 400)
        product = int(parts[1])
        if request.method == "POST":
            try:
                stars = {str(k): int(v) for k, v in json.loads(request.body).items()}
            except (ValueError, TypeError, AttributeError):
                return as_json({"error": "please provide valid ratings JSON"}, 400)
            self._by_product[product] = stars
        return as_json({"id": product, "ratings": self._by_product.get(product, RATINGS)})


if __name__ == "__main__":
    serve("ratings", arguments("ratings").parse_args(), Ratings().answer)
