from standin_torchvision import transforms as transforms
