"""DA Agent Hub: from a failed dbt run to a reviewed fix.

The flow, one stage a line, in order (each is a module of ``da_agent_hub.stages``):

- detect: the dbt runs of a day, every step and every node result of them
- record: failures become error records with fingerprint, category, priority, lineage and impact
- issue: open records become GitHub issues, one per cause, kept up to date
- investigate: evidence is gathered, a cause is found or the lack of one is said
- collaborate: a permitted person's comment, label or assignment is answered
- fix: a patch is guarded, verified by running dbt, and opened as a pull request
- resolve: recovered nodes and merged fixes close their records
"""
