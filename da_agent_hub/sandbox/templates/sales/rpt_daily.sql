with [[ document.name ]] as (

    select * from {{ ref('fct_[[ document.name ]]') }}

)

select
    cast([[ moment ]] as date) as report_date,
    [[ segment ]],
    count(*) as [[ document.name ]],
    sum(gross_amount) as gross_amount
from [[ document.name ]]
group by 1, 2
