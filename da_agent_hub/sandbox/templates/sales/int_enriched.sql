with [[ document.name ]] as (

    select * from {{ ref('[[ document.staging ]]') }}

),

totals as (

    select * from {{ ref('int_[[ document.singular ]]_totals') }}

),

current_profiles as (

    select
        [[ party.key ]],
        [[ segment ]]
    from {{ ref('[[ profile.staging ]]') }}
    where is_current

),

joined as (

    select
        [[ document.name ]].[[ document.key ]],
        [[ document.name ]].[[ party.key ]],
        [[ document.name ]].status,
        [[ document.name ]].[[ moment ]],
        [[ document.name ]].[[ extra ]],
        current_profiles.[[ segment ]],
        totals.line_count,
        coalesce(totals.net_amount, 0) as net_amount
    from [[ document.name ]]
    left join totals
        on [[ document.name ]].[[ document.key ]] = totals.[[ document.key ]]
    left join current_profiles
        on [[ document.name ]].[[ party.key ]] = current_profiles.[[ party.key ]]

)

select * from joined
