# Tasks: read, finetune with each seed, score.


rule prepare_task:
    input:
        world=CHAIN.task_world,
        files=CHAIN.task_files,
    output:
        files=directory("<results>/tasks/{task}"),
        manifest="<results>/tasks/{task}/manifest.json",
    log:
        "<results>/logs/prepare_task/{task}.log",
    benchmark:
        "<results>/benchmarks/prepare_task/{task}.tsv"
    conda:
        "../envs/data.yaml"
    threads: 1
    resources:
        mem_mb=2000,
        runtime="1h",
    params:
        settings=CHAIN.task_file_settings,
    message:
        "Reading the files of {wildcards.task}"
    shell:
        "python -m scripts.prepare_task --settings {params.settings:q} --task {wildcards.task:q}"
        " --world {input.world:q}"
        " --out {output.files:q} --log {log:q} --threads {threads}"


rule finetune_task:
    input:
        model=CHAIN.model,
        data=CHAIN.task,
    output:
        files=directory("<results>/finetuned/{model}/{task}/seed-{repeat}"),
        manifest="<results>/finetuned/{model}/{task}/seed-{repeat}/manifest.json",
    log:
        "<results>/logs/finetune_task/{model}-{task}-{repeat}.log",
    benchmark:
        "<results>/benchmarks/finetune_task/{model}-{task}-{repeat}.tsv"
    conda:
        CHAIN.training_environment
    threads: 8
    resources:
        tpu=1,
        mem_mb=8000,
        runtime="1d",
    params:
        settings=CHAIN.task_training_settings,
        state=STATE,
    message:
        "Finetuning {wildcards.model} on {wildcards.task}, seed {wildcards.repeat}"
    shell:
        "python -m scripts.finetune_task --settings {params.settings:q}"
        " --task {wildcards.task:q} --repeat {wildcards.repeat}"
        " --model {input.model[0]:q} --data {input.data[0]:q}"
        " --state {params.state:q}"
        " --out {output.files:q} --log {log:q} --threads {threads}"


rule score_task:
    input:
        model=CHAIN.finetuned,
        data=CHAIN.task,
    output:
        files=directory("<results>/scores/{model}/{task}/seed-{repeat}"),
        manifest="<results>/scores/{model}/{task}/seed-{repeat}/manifest.json",
    log:
        "<results>/logs/score_task/{model}-{task}-{repeat}.log",
    benchmark:
        "<results>/benchmarks/score_task/{model}-{task}-{repeat}.tsv"
    conda:
        "../envs/train.yaml"
    threads: 4
    resources:
        mem_mb=8000,
        runtime="4h",
    params:
        settings=CHAIN.task_scoring_settings,
    message:
        "Scoring {wildcards.model} on {wildcards.task}, seed {wildcards.repeat}"
    shell:
        "python -m scripts.score_task --settings {params.settings:q}"
        " --task {wildcards.task:q} --repeat {wildcards.repeat} --name {wildcards.model:q}"
        " --model {input.model[0]:q} --data {input.data[0]:q}"
        " --out {output.files:q} --log {log:q} --threads {threads}"


rule collect_scores:
    input:
        folders=CHAIN.scores,
        manifests=expand("{folder}/manifest.json", folder=CHAIN.scores),
    output:
        table="<results>/scores.tsv",
    log:
        "<results>/logs/collect_scores.log",
    benchmark:
        "<results>/benchmarks/collect_scores/all.tsv"
    conda:
        "../envs/train.yaml"
    threads: 1
    resources:
        mem_mb=1000,
        runtime="10m",
    message:
        "Collecting the scores"
    shell:
        "python -m scripts.collect_scores --scores {input.folders:q}"
        " --out {output.table:q} --log {log:q}"
