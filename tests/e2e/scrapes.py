"""What a scrape of a proxy says, read with prometheus-client's own parser."""

from __future__ import annotations

from prometheus_client.parser import text_string_to_metric_families

from tests.e2e.proxy import Proxy


class Scraped:
    """Samples of one scrape."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.samples = [s for family in text_string_to_metric_families(text) for s in family.samples]

    def total(self, name: str, **labels: str) -> float:
        """Sum of the samples of that name and those labels."""
        return sum(
            s.value
            for s in self.samples
            if s.name == f"routebalance_{name}" and labels.items() <= s.labels.items()
        )

    def labels(self, name: str, label: str) -> set[str]:
        """Values that a label has in the series of that name."""
        return {s.labels[label] for s in self.samples if s.name == f"routebalance_{name}"}


def scrape(proxy: Proxy, path: str) -> Scraped:
    """Scrape once, on a connection of its own."""
    with proxy.client(follow_redirects=True) as client:
        response = client.get(path)
    assert response.status_code == 200, response.text
    return Scraped(response.text)
