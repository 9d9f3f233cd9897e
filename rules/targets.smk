# The names that a user asks for: `snakemake --profile tpu student`.


wildcard_constraints:
    source="|".join(CHAIN.fetched) or "none",
    teacher="[^/]+",
    student="|".join(SETTINGS.students),
    stage="layer[0-9]+|joint",
    model="[^/]+",
    task="|".join(CHAIN.known_tasks),
    repeat="[0-9]+",
    format="|".join(CHAIN.known_formats),


rule all:
    default_target: True
    input:
        "<results>/report.html",
        CHAIN.receipts,
        CHAIN.exported_records,


rule corpus:
    input:
        CHAIN.corpus()[1],


rule vocabulary:
    input:
        CHAIN.tokenizer()[1],


rule records:
    input:
        CHAIN.records()[1],
        CHAIN.exported_records,


rule teacher:
    input:
        CHAIN.teacher[1],


rule student:
    input:
        expand("{folder}/manifest.json", folder=CHAIN.students),


rule scores:
    input:
        "<results>/scores.tsv",


rule exports:
    input:
        expand("{folder}/manifest.json", folder=CHAIN.exports("checks")),


rule publish:
    input:
        CHAIN.receipts,


rule report:
    input:
        "<results>/report.html",
