"""Modes that were fitted for another predictor: `check` warns of them, too."""

from gateway.catalog import Catalog


def outdated(catalog: Catalog, predictor_sha: str) -> list[str]:
    """Pools whose modes or curve were fitted for another predictor than the one that runs."""
    return [
        f"pool {pool.name}: its {what} fitted for predictor {fitted_for}, this one is"
        f" {predictor_sha[:16]}; run hydra-gateway calibrate"
        for pool in catalog.pools.values()
        for what, fitted_for in (
            ("modes were", pool.fitted_for),
            ("p_solve was", pool.p_solve_fitted_for),
        )
        if fitted_for is not None and not predictor_sha.startswith(fitted_for)
    ]
