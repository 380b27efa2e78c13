with [[ table.name ]] as (

    select * from {{ ref('[[ branch.fact ]]') }}

)

select
    cast([[ moment ]] as date) as activity_date,
    [[ branch.category ]],
    count(*) as [[ table.name ]],
    sum([[ branch.measure ]]) as total_[[ branch.measure ]]
from [[ table.name ]]
group by 1, 2
