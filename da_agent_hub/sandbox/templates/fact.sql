with [[ table.name ]] as (

    select * from {{ ref('[[ table.staging ]]') }}

),

[[ party.name ]] as (

    select * from {{ ref('[[ party.staging ]]') }}

),

final as (

    select
[% for column in table.columns %]
        [[ table.name ]].[[ column.name ]],
[% endfor %]
        [[ party.name ]].[[ party.columns[2].name ]] as [[ party.singular ]]_[[ party.columns[2].name ]]
    from [[ table.name ]]
    left join [[ party.name ]]
        on [[ table.name ]].[[ party.key ]] = [[ party.name ]].[[ party.key ]]

)

select * from final
