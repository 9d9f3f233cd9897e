# One HTML file on everything that the run made.


rule write_report:
    input:
        artifacts=INPUTS.report.artifacts,
        files=INPUTS.report.files,
        due=DUE(
            "report.html",
            INPUTS.report.shown_settings,
            INPUTS.report.artifacts,
            INPUTS.report.files,
        ),
    output:
        page="<results>/report.html",
        manifest="<results>/report.html.manifest.json",
    log:
        "<results>/logs/write_report.log",
    benchmark:
        "<results>/benchmarks/write_report/all.tsv"
    conda:
        "../envs/train.yaml"
    threads: 1
    resources:
        mem_mb=2000,
        attempt=jobs.attempt,
        runtime="1h",
    params:
        settings=INPUTS.report.shown_settings,
        results=INPUTS.report.folder,
    message:
        "Writing the report"
    shell:
        "python -m scripts.write_report --settings {params.settings:q} --results {params.results:q}"
        " --made-from {input.artifacts:q} {input.files:q}"
        " --out {output.page:q} --log {log:q} --attempt {resources.attempt}"
