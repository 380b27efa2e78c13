with enriched as (

    select * from {{ ref('int_[[ document.name ]]_enriched') }}

),

final as (

    select
        [[ document.key ]],
        [[ party.key ]],
        status,
        [[ segment ]],
        [[ moment ]],
        line_count,
        net_amount,
        net_amount + [[ extra ]] as gross_amount
    from enriched

)

select * from final
