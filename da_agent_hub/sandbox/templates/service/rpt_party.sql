with [[ job.name ]] as (

    select * from {{ ref('fct_[[ job.name ]]') }}

),

[[ party.name ]] as (

    select * from {{ ref('[[ party.staging ]]') }}

),

punctuality as (

    select
        [[ party.key ]],
        count(*) as [[ job.singular ]]_count,
        avg(case when is_late then 1.0 else 0.0 end) as late_share,
        avg(delay_minutes) as average_delay_minutes
    from [[ job.name ]]
    group by [[ party.key ]]

)

select
    [[ party.name ]].[[ party.key ]],
    [[ party.name ]].[[ party.columns[1].name ]],
    punctuality.[[ job.singular ]]_count,
    punctuality.late_share,
    punctuality.average_delay_minutes
from [[ party.name ]]
inner join punctuality
    on [[ party.name ]].[[ party.key ]] = punctuality.[[ party.key ]]
