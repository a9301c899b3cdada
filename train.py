"""Train: python train.py task=pretrain data.store=STORE run_dir=RUN, or task=finetune; see configs/train.yaml."""

from omicsfm.training.main import main

if __name__ == "__main__":
    main()
