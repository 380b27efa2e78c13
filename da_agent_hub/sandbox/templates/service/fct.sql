with delays as (

    select * from {{ ref('int_[[ job.singular ]]_delays') }}

),

[[ site ]]s as (

    select * from {{ ref('[[ site ]]s') }}

),

final as (

    select
        delays.[[ job.key ]],
        delays.[[ party.key ]],
        delays.[[ site ]]_code,
        [[ site ]]s.[[ site ]]_name,
        delays.[[ moment ]],
        delays.transit_minutes,
        delays.delay_minutes,
        delays.delay_minutes > 0 as is_late
    from delays
    left join [[ site ]]s
        on delays.[[ site ]]_code = [[ site ]]s.[[ site ]]_code

)

select * from final
