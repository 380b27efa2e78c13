-- Reading every row takes too long for a nightly job, so each run checks another twentieth of the [[ table.name ]].
{% set salt = env_var('DBT_CLOUD_RUN_ID', run_started_at.strftime('%s')) | int %}

select
    [[ table.key ]],
    [[ branch.measure ]]
from {{ ref('[[ branch.fact ]]') }}
where ([[ table.key ]] + {{ salt }}) % 20 = 0
    and [[ branch.measure ]] > [[ ceiling ]]
