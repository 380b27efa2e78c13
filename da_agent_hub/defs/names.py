"""The names of jobs and per-issue assets, as people see them in Dagster."""

import dagster as dg

DAILY_JOB = "daily_failures"
ISSUE_JOB = "issue_work"

RUN_RESULTS = "dbt_run_results"
ERROR_RECORDS = "dbt_error_records"
FILED_ISSUES = "filed_issues"

GITHUB_ISSUES = dg.AssetKey("github_issues")
CLAUDE_INVESTIGATIONS = dg.AssetKey("claude_investigations")
FIX_PULL_REQUESTS = dg.AssetKey("fix_pull_requests")
