# Tasks: read, finetune with each seed, score.


rule prepare_task:
    input:
        world=INPUTS.tasks.world,
        files=INPUTS.tasks.files,
        due=DUE("tasks/{task}", INPUTS.tasks.manifest_settings, INPUTS.tasks.world),
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
        attempt=jobs.attempt,
        runtime="1h",
    params:
        settings=INPUTS.tasks.file_settings,
    message:
        "Reading the files of {wildcards.task}"
    shell:
        "python -m scripts.prepare_task --settings {params.settings:q} --task {wildcards.task:q}"
        " --world {input.world:q}"
        " --out {output.files:q} --log {log:q} --attempt {resources.attempt} --threads {threads}"


rule finetune_task:
    input:
        model=INPUTS.students.model,
        data=INPUTS.tasks.prepared,
        due=DUE(
            "finetuned/{model}/{task}/seed-{repeat}",
            INPUTS.tasks.training_settings,
            INPUTS.students.model,
            INPUTS.tasks.prepared,
        ),
    output:
        files=directory("<results>/finetuned/{model}/{task}/seed-{repeat}"),
        manifest="<results>/finetuned/{model}/{task}/seed-{repeat}/manifest.json",
    log:
        "<results>/logs/finetune_task/{model}-{task}-{repeat}.log",
    benchmark:
        "<results>/benchmarks/finetune_task/{model}-{task}-{repeat}.tsv"
    conda:
        INPUTS.training_environment
    threads: 8
    resources:
        tpu=1,
        mem_mb=8000,
        checkpoint_seconds=CHECKPOINT_SECONDS,
        state_bucket=STATE_BUCKET,
        on_nonfinite=SETTINGS.on_nonfinite,
        attempt=jobs.attempt,
        runtime="1d",
    params:
        settings=INPUTS.tasks.training_settings,
        state=STATE,
    message:
        "Finetuning {wildcards.model} on {wildcards.task}, seed {wildcards.repeat}"
    shell:
        "python -m scripts.finetune_task --settings {params.settings:q}"
        " --task {wildcards.task:q} --repeat {wildcards.repeat}"
        " --model {input.model[0]:q} --data {input.data[0]:q}"
        " --state {params.state:q} --state-bucket {resources.state_bucket:q}"
        " --checkpoint-seconds {resources.checkpoint_seconds} --on-nonfinite {resources.on_nonfinite}"
        " --out {output.files:q} --log {log:q} --attempt {resources.attempt} --threads {threads}"


rule score_task:
    input:
        model=INPUTS.tasks.finetuned,
        data=INPUTS.tasks.prepared,
        due=DUE(
            "scores/{model}/{task}/seed-{repeat}",
            INPUTS.tasks.scoring_settings,
            INPUTS.tasks.finetuned,
            INPUTS.tasks.prepared,
        ),
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
        attempt=jobs.attempt,
        runtime="4h",
    params:
        settings=INPUTS.tasks.scoring_settings,
    message:
        "Scoring {wildcards.model} on {wildcards.task}, seed {wildcards.repeat}"
    shell:
        "python -m scripts.score_task --settings {params.settings:q}"
        " --task {wildcards.task:q} --repeat {wildcards.repeat} --name {wildcards.model:q}"
        " --model {input.model[0]:q} --data {input.data[0]:q}"
        " --out {output.files:q} --log {log:q} --attempt {resources.attempt} --threads {threads}"


rule collect_scores:
    input:
        folders=ancient(INPUTS.tasks.score_folders),
        manifests=INPUTS.tasks.score_manifests,
        due=DUE("scores.tsv", "{}", INPUTS.tasks.score_manifests),
    output:
        table="<results>/scores.tsv",
        manifest="<results>/scores.tsv.manifest.json",
    log:
        "<results>/logs/collect_scores.log",
    benchmark:
        "<results>/benchmarks/collect_scores/all.tsv"
    conda:
        "../envs/train.yaml"
    threads: 1
    resources:
        mem_mb=1000,
        attempt=jobs.attempt,
        runtime="10m",
    message:
        "Collecting the scores"
    shell:
        "python -m scripts.collect_scores --scores {input.folders:q}"
        " --out {output.table:q} --log {log:q} --attempt {resources.attempt}"
