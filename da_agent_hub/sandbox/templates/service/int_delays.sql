with [[ job.name ]] as (

    select * from {{ ref('[[ job.staging ]]') }}

),

delays as (

    select
        [[ job.key ]],
        [[ party.key ]],
        [[ site ]]_code,
        [[ moment ]],
        transit_minutes,
        promised_minutes,
        greatest(transit_minutes - promised_minutes, 0) as delay_minutes
    from [[ job.name ]]

)

select * from delays
