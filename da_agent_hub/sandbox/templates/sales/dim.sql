with [[ party.name ]] as (

    select * from {{ ref('[[ party.staging ]]') }}

),

lifetime as (

    select
        [[ party.key ]],
        count(*) as [[ document.singular ]]_count,
        sum(gross_amount) as lifetime_amount,
        max([[ moment ]]) as latest_[[ document.singular ]]_at
    from {{ ref('fct_[[ document.name ]]') }}
    group by [[ party.key ]]

),

final as (

    select
        [[ party.name ]].[[ party.key ]],
        [[ party.name ]].[[ party.columns[1].name ]],
        [[ party.name ]].[[ party.columns[2].name ]],
        coalesce(lifetime.[[ document.singular ]]_count, 0) as [[ document.singular ]]_count,
        coalesce(lifetime.lifetime_amount, 0) as lifetime_amount,
        lifetime.latest_[[ document.singular ]]_at
    from [[ party.name ]]
    left join lifetime
        on [[ party.name ]].[[ party.key ]] = lifetime.[[ party.key ]]

)

select * from final
