"""What Prometheus reads."""

from __future__ import annotations

from rowspace.integrations.rest.metrics import Metrics


def test_requests_by_method_route_and_status():
    metrics, other = Metrics(), Metrics()
    metrics.count("GET", "/api/collections/{name}", status=200, seconds=0.003)
    metrics.count("GET", "/api/collections/{name}", status=200, seconds=0.3)
    metrics.count("GET", "/api/collections/{name}", status=404, seconds=20)
    text = metrics.text().decode()
    route = 'method="GET",route="/api/collections/{name}"'
    assert f'rowspace_http_requests_total{{{route},status="200"}} 2.0' in text
    assert f'rowspace_http_requests_total{{{route},status="404"}} 1.0' in text
    assert f'rowspace_http_request_seconds_bucket{{le="0.005",{route}}} 1.0' in text
    assert f'rowspace_http_request_seconds_bucket{{le="+Inf",{route}}} 3.0' in text
    assert f"rowspace_http_request_seconds_count{{{route}}} 3.0" in text
    # Two servers of one process count by themselves.
    assert "GET" not in other.text().decode()
