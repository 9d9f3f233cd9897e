# Knowledge transfer, then pretraining distillation; baselines take the same steps without the teacher.


rule transfer_layer:
    input:
        records=CHAIN.records,
        tokenizer=CHAIN.tokenizer,
        teacher=CHAIN.teacher,
        previous=CHAIN.previous_stage,
    output:
        files=directory("<results>/students/{student}/transfer/{stage}"),
        manifest="<results>/students/{student}/transfer/{stage}/manifest.json",
    log:
        "<results>/logs/transfer_layer/{student}-{stage}.log",
    benchmark:
        "<results>/benchmarks/transfer_layer/{student}-{stage}.tsv"
    conda:
        CHAIN.training_environment
    threads: 8
    resources:
        tpu=1,
        mem_mb=16000,
        runtime="7d",
    params:
        settings=CHAIN.transfer_settings,
        state=STATE,
    message:
        "Transferring {wildcards.stage} of the teacher into {wildcards.student}"
    shell:
        "python -m scripts.transfer_layer --settings {params.settings:q}"
        " --student {wildcards.student:q} --stage {wildcards.stage:q}"
        " --records {input.records[0]:q} --tokenizer {input.tokenizer[0]:q} --teacher {input.teacher[0]:q}"
        " --previous {input.previous:q}"
        " --state {params.state:q}"
        " --out {output.files:q} --log {log:q} --threads {threads}"


rule import_student:
    input:
        checkpoint=CHAIN.student_original,
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
        runtime="2h",
    params:
        checkpoint=CHAIN.student_checkpoint,
    message:
        "Importing the student {wildcards.student}"
    shell:
        "python -m scripts.import_student --checkpoint {params.checkpoint:q}"
        " --out {output.files:q} --log {log:q} --threads {threads}"


rule pretrain_student:
    input:
        records=CHAIN.records,
        tokenizer=CHAIN.tokenizer,
        teacher=CHAIN.teacher_of,
        previous=CHAIN.last_stage,
        start=CHAIN.given_student,
    output:
        files=directory("<results>/students/{model}/pretrained"),
        manifest="<results>/students/{model}/pretrained/manifest.json",
    log:
        "<results>/logs/pretrain_student/{model}.log",
    benchmark:
        "<results>/benchmarks/pretrain_student/{model}.tsv"
    conda:
        CHAIN.training_environment
    threads: 8
    resources:
        tpu=1,
        mem_mb=16000,
        runtime="7d",
    params:
        settings=CHAIN.pretraining_settings,
        student=CHAIN.student_of,
        arm=CHAIN.arm_of,
        extra=CHAIN.extra_steps,
        state=STATE,
    message:
        "Pretraining the student {wildcards.model}"
    shell:
        "python -m scripts.pretrain_student --settings {params.settings:q}"
        " --student {params.student:q} --arm {params.arm:q} --extra-steps {params.extra}"
        " --records {input.records[0]:q} --tokenizer {input.tokenizer[0]:q}"
        " --teacher {input.teacher:q} --previous {input.previous:q}"
        " --state {params.state:q}"
        " --out {output.files:q} --log {log:q} --threads {threads}"
