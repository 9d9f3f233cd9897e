# The teacher: trained here or imported, then checked before anything is spent on it.


rule pretrain_teacher:
    input:
        records=INPUTS.records.folder,
        tokenizer=INPUTS.vocabulary.folder,
        due=DUE(
            "teacher_sources/pretrained/{teacher}",
            INPUTS.teacher.pretraining_settings,
            INPUTS.records.folder,
            INPUTS.vocabulary.folder,
        ),
    output:
        files=directory("<results>/teacher_sources/pretrained/{teacher}"),
        manifest="<results>/teacher_sources/pretrained/{teacher}/manifest.json",
    log:
        "<results>/logs/pretrain_teacher/{teacher}.log",
    benchmark:
        "<results>/benchmarks/pretrain_teacher/{teacher}.tsv"
    conda:
        INPUTS.training_environment
    threads: 8
    resources:
        tpu=1,
        mem_mb=16000,
        checkpoint_seconds=CHECKPOINT_SECONDS,
        state_bucket=STATE_BUCKET,
        on_nonfinite=SETTINGS.on_nonfinite,
        attempt=jobs.attempt,
        runtime="7d",
    params:
        settings=INPUTS.teacher.pretraining_settings,
        state=STATE,
    message:
        "Pretraining the teacher {wildcards.teacher}"
    shell:
        "python -m scripts.pretrain_teacher --settings {params.settings:q}"
        " --records {input.records[0]:q} --tokenizer {input.tokenizer[0]:q}"
        " --state {params.state:q} --state-bucket {resources.state_bucket:q}"
        " --checkpoint-seconds {resources.checkpoint_seconds} --on-nonfinite {resources.on_nonfinite}"
        " --out {output.files:q} --log {log:q} --attempt {resources.attempt} --threads {threads}"


rule import_teacher:
    input:
        source=INPUTS.teacher.original,
        due=DUE(
            "teacher_sources/imported/{teacher}",
            INPUTS.teacher.import_settings,
            source=INPUTS.teacher.original_path,
        ),
    output:
        files=directory("<results>/teacher_sources/imported/{teacher}"),
        manifest="<results>/teacher_sources/imported/{teacher}/manifest.json",
    log:
        "<results>/logs/import_teacher/{teacher}.log",
    benchmark:
        "<results>/benchmarks/import_teacher/{teacher}.tsv"
    conda:
        "../envs/train.yaml"
    threads: 2
    resources:
        mem_mb=8000,
        attempt=jobs.attempt,
        runtime="2h",
    params:
        settings=INPUTS.teacher.import_settings,
        source=INPUTS.teacher.path,
    message:
        "Importing the teacher {wildcards.teacher}"
    shell:
        "python -m scripts.import_teacher --settings {params.settings:q} --source {params.source:q}"
        " --out {output.files:q} --log {log:q} --attempt {resources.attempt} --threads {threads}"


rule retrain_head:
    input:
        source=INPUTS.teacher.imported,
        records=INPUTS.records.folder,
        tokenizer=INPUTS.vocabulary.folder,
        due=DUE(
            "teacher_sources/retrained/{teacher}",
            section(SETTINGS, "teacher.head_training", "masking", "training", "seed"),
            INPUTS.teacher.imported,
            INPUTS.records.folder,
            INPUTS.vocabulary.folder,
        ),
    output:
        files=directory("<results>/teacher_sources/retrained/{teacher}"),
        manifest="<results>/teacher_sources/retrained/{teacher}/manifest.json",
    log:
        "<results>/logs/retrain_head/{teacher}.log",
    benchmark:
        "<results>/benchmarks/retrain_head/{teacher}.tsv"
    conda:
        INPUTS.training_environment
    threads: 8
    resources:
        tpu=1,
        mem_mb=16000,
        checkpoint_seconds=CHECKPOINT_SECONDS,
        state_bucket=STATE_BUCKET,
        on_nonfinite=SETTINGS.on_nonfinite,
        attempt=jobs.attempt,
        runtime="7d",
    params:
        settings=section(
            SETTINGS, "teacher.head_training", "masking", "training", "seed"
        ),
        needs=INPUTS.teacher.needs,
        state=STATE,
    message:
        "Training the MLM head of the teacher {wildcards.teacher}"
    shell:
        "python -m scripts.retrain_head --settings {params.settings:q} --needs {params.needs:q}"
        " --source {input.source[0]:q} --records {input.records[0]:q} --tokenizer {input.tokenizer[0]:q}"
        " --state {params.state:q} --state-bucket {resources.state_bucket:q}"
        " --checkpoint-seconds {resources.checkpoint_seconds} --on-nonfinite {resources.on_nonfinite}"
        " --out {output.files:q} --log {log:q} --attempt {resources.attempt} --threads {threads}"


rule export_teacher:
    input:
        source=INPUTS.teacher.source,
        original=INPUTS.teacher.original,
        records=INPUTS.records.folder,
        tokenizer=INPUTS.vocabulary.folder,
        due=DUE(
            "teachers/{teacher}",
            INPUTS.teacher.manifest_settings,
            INPUTS.teacher.source,
            INPUTS.records.folder,
            INPUTS.vocabulary.folder,
        ),
    output:
        files=directory("<results>/teachers/{teacher}"),
        manifest="<results>/teachers/{teacher}/manifest.json",
    log:
        "<results>/logs/export_teacher/{teacher}.log",
    benchmark:
        "<results>/benchmarks/export_teacher/{teacher}.tsv"
    conda:
        INPUTS.training_environment
    threads: 8
    resources:
        tpu=1,
        mem_mb=16000,
        attempt=jobs.attempt,
        runtime="1d",
    params:
        settings=section(
            SETTINGS, "teacher.min_head_lift", "masking", "training", "seed"
        ),
        needs=INPUTS.teacher.needs,
        original=INPUTS.teacher.path,
    message:
        "Checking the teacher {wildcards.teacher} on held-out text"
    shell:
        "python -m scripts.export_teacher --settings {params.settings:q} --needs {params.needs:q}"
        " --source {input.source[0]:q} --original {params.original:q}"
        " --records {input.records[0]:q} --tokenizer {input.tokenizer[0]:q}"
        " --out {output.files:q} --log {log:q} --attempt {resources.attempt} --threads {threads}"
