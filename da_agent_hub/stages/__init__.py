"""What happens, one module a stage; no Dagster here."""
