# One HTML file on everything that the run made.


rule write_report:
    input:
        CHAIN.reported,
    output:
        page="<results>/report.html",
    log:
        "<results>/logs/write_report.log",
    benchmark:
        "<results>/benchmarks/write_report/all.tsv"
    conda:
        "../envs/train.yaml"
    threads: 1
    resources:
        mem_mb=2000,
        runtime="1h",
    params:
        settings=section(SETTINGS, *CHAIN.reported_settings),
        results=CHAIN.folder_of_page,
    message:
        "Writing the report"
    shell:
        "python -m scripts.write_report --settings {params.settings:q} --results {params.results:q} --made-from {input:q}"
        " --out {output.page:q} --log {log:q}"
