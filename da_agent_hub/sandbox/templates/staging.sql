with source as (

    select * from {{ source('[[ domain.source ]]', '[[ table.name ]]') }}

),

renamed as (

    select
[% for column in table.columns %]
        [[ column.staged() ]],
[% endfor %]
        _loaded_at as loaded_at
    from source

)

select * from renamed
