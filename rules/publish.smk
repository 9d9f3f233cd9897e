# Upload what differs, read it back, write the receipt.


rule publish_model:
    input:
        exports=CHAIN.exports_of,
        checks=CHAIN.checks_of,
        manifests=CHAIN.published_manifests,
        scores=CHAIN.scores_table,
    output:
        record="<results>/uploads/{model}.json",
    log:
        "<results>/logs/publish_model/{model}.log",
    benchmark:
        "<results>/benchmarks/publish_model/{model}.tsv"
    conda:
        "../envs/publish.yaml"
    threads: 2
    resources:
        mem_mb=2000,
        runtime="1d",
    params:
        settings=section(SETTINGS, "publish"),
        licences=licences(SETTINGS),
    message:
        "Publishing {wildcards.model}"
    shell:
        "python -m scripts.publish_model --settings {params.settings:q} --name {wildcards.model:q}"
        " --exports {input.exports:q} --checks {input.checks:q} --scores {input.scores:q}"
        " --licences {params.licences:q}"
        " --out {output.record:q} --log {log:q}"


rule verify_published:
    input:
        record="<results>/uploads/{model}.json",
    output:
        receipt="<results>/published/{model}.json",
    log:
        "<results>/logs/verify_published/{model}.log",
    benchmark:
        "<results>/benchmarks/verify_published/{model}.tsv"
    conda:
        "../envs/publish.yaml"
    threads: 1
    resources:
        mem_mb=2000,
        runtime="1d",
    params:
        settings=section(SETTINGS, "publish"),
    message:
        "Reading back what was published of {wildcards.model}"
    shell:
        "python -m scripts.verify_published --settings {params.settings:q} --name {wildcards.model:q}"
        " --record {input.record:q} --out {output.receipt:q} --log {log:q}"
