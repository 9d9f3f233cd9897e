# Upload what differs, read it back, write the receipt.


rule publish_model:
    input:
        exports=INPUTS.exports.exports_of,
        checks=INPUTS.exports.checks_of,
        manifests=INPUTS.exports.manifests_of,
        scores=INPUTS.tasks.table,
        due=DUE(
            "uploads/{model}.json",
            INPUTS.exports.publish_settings,
            INPUTS.exports.manifests_of,
            INPUTS.tasks.table,
        ),
    output:
        record="<results>/uploads/{model}.json",
        manifest="<results>/uploads/{model}.json.manifest.json",
    log:
        "<results>/logs/publish_model/{model}.log",
    benchmark:
        "<results>/benchmarks/publish_model/{model}.tsv"
    conda:
        "../envs/publish.yaml"
    threads: 2
    resources:
        mem_mb=2000,
        attempt=jobs.attempt,
        runtime="1d",
    params:
        settings=INPUTS.exports.publish_settings,
    message:
        "Publishing {wildcards.model}"
    shell:
        "python -m scripts.publish_model --settings {params.settings:q} --name {wildcards.model:q}"
        " --exports {input.exports:q} --checks {input.checks:q} --scores {input.scores:q}"
        " --out {output.record:q} --log {log:q} --attempt {resources.attempt}"


rule verify_published:
    input:
        record=ancient("<results>/uploads/{model}.json"),
        manifest=INPUTS.exports.upload,
        due=DUE(
            "published/{model}.json",
            section(SETTINGS, "publish"),
            INPUTS.exports.upload,
        ),
    output:
        receipt="<results>/published/{model}.json",
        manifest="<results>/published/{model}.json.manifest.json",
    log:
        "<results>/logs/verify_published/{model}.log",
    benchmark:
        "<results>/benchmarks/verify_published/{model}.tsv"
    conda:
        "../envs/publish.yaml"
    threads: 1
    resources:
        mem_mb=2000,
        attempt=jobs.attempt,
        runtime="1d",
    params:
        settings=section(SETTINGS, "publish"),
    message:
        "Reading back what was published of {wildcards.model}"
    shell:
        "python -m scripts.verify_published --settings {params.settings:q} --name {wildcards.model:q}"
        " --record {input.record:q} --out {output.receipt:q} --log {log:q} --attempt {resources.attempt}"
