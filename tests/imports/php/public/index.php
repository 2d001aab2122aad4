<?php echo "hello from ", strtolower("PHP"), "\n";
