"""The published command line: `python multimodal_edit.py --function_name=test_FT_LLaVA --hop=1 --data_type=entity`."""

import sys

from mmke.compat.commands import main

if __name__ == "__main__":
    sys.exit(main())
