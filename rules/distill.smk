# Knowledge transfer, then pretraining distillation; baselines take the same steps without the teacher.


rule transfer_layer:
    input:
        records=INPUTS.records.folder,
        tokenizer=INPUTS.vocabulary.folder,
        teacher=INPUTS.teacher.checked,
        previous=INPUTS.students.previous_stage,
        due=DUE(
            "students/{student}/transfer/{stage}",
            INPUTS.students.transfer_manifest_settings,
            INPUTS.records.folder,
            INPUTS.vocabulary.folder,
            INPUTS.teacher.checked,
            INPUTS.students.previous_stage,
        ),
    output:
        files=directory("<results>/students/{student}/transfer/{stage}"),
        manifest="<results>/students/{student}/transfer/{stage}/manifest.json",
    log:
        "<results>/logs/transfer_layer/{student}-{stage}.log",
    benchmark:
        "<results>/benchmarks/transfer_layer/{student}-{stage}.tsv"
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
        settings=INPUTS.students.transfer_settings,
        state=STATE,
    message:
        "Transferring {wildcards.stage} of the teacher into {wildcards.student}"
    shell:
        "python -m scripts.transfer_layer --settings {params.settings:q}"
        " --student {wildcards.student:q} --stage {wildcards.stage:q}"
        " --records {input.records[0]:q} --tokenizer {input.tokenizer[0]:q} --teacher {input.teacher[0]:q}"
        " --previous {input.previous:q}"
        " --state {params.state:q} --state-bucket {resources.state_bucket:q}"
        " --checkpoint-seconds {resources.checkpoint_seconds} --on-nonfinite {resources.on_nonfinite}"
        " --out {output.files:q} --log {log:q} --attempt {resources.attempt} --threads {threads}"


rule import_student:
    input:
        checkpoint=INPUTS.students.original,
        due=DUE(
            "student_sources/{student}",
            INPUTS.vocabulary.casing,
            source=INPUTS.students.given_path,
        ),
    output:
        files=directory("<results>/student_sources/{student}"),
        manifest="<results>/student_sources/{student}/manifest.json",
    log:
        "<results>/logs/import_student/{student}.log",
    benchmark:
        "<results>/benchmarks/import_student/{student}.tsv"
    conda:
        "../envs/train.yaml"
    threads: 2
    resources:
        mem_mb=8000,
        attempt=jobs.attempt,
        runtime="2h",
    params:
        settings=INPUTS.vocabulary.casing,
        checkpoint=INPUTS.students.checkpoint,
    message:
        "Importing the student {wildcards.student}"
    shell:
        "python -m scripts.import_student --settings {params.settings:q} --checkpoint {params.checkpoint:q}"
        " --out {output.files:q} --log {log:q} --attempt {resources.attempt} --threads {threads}"


rule pretrain_student:
    input:
        records=INPUTS.records.folder,
        tokenizer=INPUTS.vocabulary.folder,
        teacher=INPUTS.students.teacher_of,
        previous=INPUTS.students.last_stage,
        start=INPUTS.students.initial_student,
        due=DUE(
            "students/{model}/pretrained",
            INPUTS.students.pretraining_manifest_settings,
            INPUTS.records.folder,
            INPUTS.vocabulary.folder,
            INPUTS.students.teacher_of,
            INPUTS.students.last_stage,
            source=INPUTS.students.original_path,
        ),
    output:
        files=directory("<results>/students/{model}/pretrained"),
        manifest="<results>/students/{model}/pretrained/manifest.json",
    log:
        "<results>/logs/pretrain_student/{model}.log",
    benchmark:
        "<results>/benchmarks/pretrain_student/{model}.tsv"
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
        settings=INPUTS.students.pretraining_settings,
        student=INPUTS.students.student_of,
        arm=INPUTS.students.arm_of,
        extra=INPUTS.students.extra_steps,
        state=STATE,
    message:
        "Pretraining the student {wildcards.model}"
    shell:
        "python -m scripts.pretrain_student --settings {params.settings:q}"
        " --student {params.student:q} --arm {params.arm:q} --extra-steps {params.extra}"
        " --records {input.records[0]:q} --tokenizer {input.tokenizer[0]:q}"
        " --teacher {input.teacher:q} --previous {input.previous:q}"
        " --state {params.state:q} --state-bucket {resources.state_bucket:q}"
        " --checkpoint-seconds {resources.checkpoint_seconds} --on-nonfinite {resources.on_nonfinite}"
        " --out {output.files:q} --log {log:q} --attempt {resources.attempt} --threads {threads}"
