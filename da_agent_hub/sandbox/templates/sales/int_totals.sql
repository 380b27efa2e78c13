with [[ line.name ]] as (

    select * from {{ ref('[[ line.staging ]]') }}

),

totals as (

    select
        [[ document.key ]],
        count(*) as line_count,
        sum([[ quantity ]] * [[ price ]]) as net_amount
    from [[ line.name ]]
    group by [[ document.key ]]

)

select * from totals
