with [[ job.name ]] as (

    select * from {{ ref('fct_[[ job.name ]]') }}

)

select
    [[ site ]]_code,
    [[ site ]]_name,
    cast([[ moment ]] as date) as activity_date,
    count(*) as [[ job.singular ]]_count,
    sum(transit_minutes) as transit_minutes
from [[ job.name ]]
group by 1, 2, 3
