"""A local world to try the hub in: dbt Cloud and GitHub on loopback, over real dbt runs and real git."""
