"""What the integration tests run on: keys and a signed model, made once for all of them."""

import pytest

from tests.support.site import Site, make_site


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    """Keys and a signed bundle; change copies of them."""
    return make_site(tmp_path_factory.mktemp("site"))
