# The forms that people load, each compared with the model.


rule export_model:
    input:
        model=INPUTS.students.model,
        due=DUE(
            "exports/{model}/{format}", INPUTS.exports.shaping, INPUTS.students.model
        ),
    output:
        files=directory("<results>/exports/{model}/{format}"),
        manifest="<results>/exports/{model}/{format}/manifest.json",
    log:
        "<results>/logs/export_model/{model}-{format}.log",
    benchmark:
        "<results>/benchmarks/export_model/{model}-{format}.tsv"
    conda:
        "../envs/train.yaml"
    threads: 2
    resources:
        mem_mb=8000,
        attempt=jobs.attempt,
        runtime="4h",
    params:
        settings=INPUTS.exports.shaping,
    message:
        "Exporting {wildcards.model} as {wildcards.format}"
    shell:
        "python -m scripts.export_model --settings {params.settings:q}"
        " --model {input.model[0]:q} --format {wildcards.format:q}"
        " --out {output.files:q} --log {log:q} --attempt {resources.attempt} --threads {threads}"


rule check_export:
    input:
        model=INPUTS.students.model,
        export=INPUTS.exports.export,
        due=DUE(
            "checks/{model}/{format}",
            INPUTS.exports.shaping,
            INPUTS.students.model,
            INPUTS.exports.export,
        ),
    output:
        files=directory("<results>/checks/{model}/{format}"),
        manifest="<results>/checks/{model}/{format}/manifest.json",
    log:
        "<results>/logs/check_export/{model}-{format}.log",
    benchmark:
        "<results>/benchmarks/check_export/{model}-{format}.tsv"
    conda:
        "../envs/train.yaml"
    threads: 2
    resources:
        mem_mb=8000,
        attempt=jobs.attempt,
        runtime="4h",
    params:
        settings=INPUTS.exports.shaping,
    message:
        "Checking the {wildcards.format} export of {wildcards.model} against the model"
    shell:
        "python -m scripts.check_export --settings {params.settings:q} --model {input.model[0]:q}"
        " --export {input.export[0]:q} --format {wildcards.format:q}"
        " --out {output.files:q} --log {log:q} --attempt {resources.attempt} --threads {threads}"


rule measure_latency:
    input:
        export=INPUTS.exports.export,
        due=DUE(
            "latency/{model}/{format}.json",
            INPUTS.exports.shaping,
            INPUTS.exports.export,
        ),
    output:
        timings="<results>/latency/{model}/{format}.json",
        manifest="<results>/latency/{model}/{format}.json.manifest.json",
    log:
        "<results>/logs/measure_latency/{model}-{format}.log",
    benchmark:
        "<results>/benchmarks/measure_latency/{model}-{format}.tsv"
    conda:
        "../envs/train.yaml"
    threads: 1
    resources:
        mem_mb=4000,
        attempt=jobs.attempt,
        runtime="1h",
    params:
        settings=INPUTS.exports.shaping,
    message:
        "Timing the {wildcards.format} export of {wildcards.model}"
    shell:
        "python -m scripts.measure_latency --settings {params.settings:q}"
        " --export {input.export[0]:q} --format {wildcards.format:q}"
        " --out {output.timings:q} --log {log:q} --attempt {resources.attempt} --threads {threads}"
